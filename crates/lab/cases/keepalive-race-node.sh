# about: Node.js closes idle connections after its own five seconds, nginx keeps them for a minute: orders that come just then meet a server that is busy for a moment
# expect: keepalive-race
# forbid: backend-crashed, backend-aborts-request, backend-worker-recycled, backend-restarting
# peer: 127.0.0.1:8601
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while
setup() {
  node kitchen 127.0.0.1:8601
  listening 127.0.0.1:8601
  vhost kitchen <<'CONF'
upstream kitchen {
    server 127.0.0.1:8601;
    keepalive 16;
}
server {
    listen 80 default_server;
    location / {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://kitchen;
    }
}
CONF
  WORKERS=1 nginx_conf
  touch /lab/nginx.conf
  start_nginx
}
drive() {
  get /orders 6
  together /wait/0.3 10 -d dish=7
  sleep 5.7
  curl -s -o /dev/null http://127.0.0.1:8601/spin/0.7 &
  sleep 0.15
  together /orders 10 -d dish=8
  wait
  get /orders 4
}
