# about: errors go to /dev/null, so only the status and the route of a request tell that one page is too slow
# expect: backend-slow
# forbid: upstream-returned-error, backend-hung
# peer: 127.0.0.1:8446
# status: 504
setup() {
  serve rosters 127.0.0.1:8446
  listening 127.0.0.1:8446
  ERROR_LOG=/dev/null nginx_conf
  touch /lab/nginx.conf
  proxy_to rosters http://127.0.0.1:8446 'proxy_read_timeout 1s;'
  start_nginx
  get / 4
}
drive() { together /wait/2 4; get / 4; }
