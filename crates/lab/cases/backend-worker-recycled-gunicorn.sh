# about: gunicorn's --max-requests retires workers while nginx still keeps connections to them open
# expect: backend-worker-recycled
# forbid: backend-crashed, backend-worker-timeout
# peer: unix:/run/votes/votes.sock
# status: 502
# log: Autorestarting worker after current request
setup() {
  gunicorn votes unix:/run/votes/votes.sock '--workers 2 --threads 8 --keep-alive 60 --max-requests 25 --graceful-timeout 1' RuntimeDirectory=votes
  listening /run/votes/votes.sock
  echo 'upstream votes { server unix:/run/votes/votes.sock; keepalive 32; }' | vhost group
  proxy_to votes http://votes 'proxy_http_version 1.1; proxy_set_header Connection "";'
  start_nginx
  get / 4
}
drive() {
  hold /wait/0.4 6
  for _ in $(seq 30); do together /vote 8 --data choice=7; done
}
