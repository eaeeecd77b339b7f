# about: LimitNOFILE is small and idle clients hold every descriptor: accept() fails, new requests wait unanswered
# expect: backend-fd-exhausted
# forbid: backend-hung, backend-slow, nginx-fd-exhausted
# peer: 127.0.0.1:8184
# status: 504
# log: 110: Connection timed out\) while reading response header
setup() {
  serve pager 127.0.0.1:8184 '' LimitNOFILE=24
  listening 127.0.0.1:8184
  proxy_to pager http://127.0.0.1:8184 'proxy_read_timeout 1s;'
  start_nginx
  get / 4
}
fault() { BASE=http://127.0.0.1:8184 hold /wait/60 24; sleep 0.5; }
drive() { together / 4; get / 1; }
