# about: a few long polls use up all 30 connections of the worker, two for each, and the next clients get 500
# expect: nginx-worker-connections-exhausted
# forbid: nginx-fd-exhausted, proxy-loop
# status: 500
# log: 30 worker_connections are not enough
WORKERS=1
setup() {
  mkdir -p /run/chat
  chown www-data /run/chat
  node chat /run/chat/chat.sock
  listening /run/chat/chat.sock
  proxy_to chat http://unix:/run/chat/chat.sock
  nginx_conf
  sed -i 's/worker_connections 512/worker_connections 30/' /etc/nginx/nginx.conf
  touch /lab/nginx.conf
  start_nginx
  get / 3
}
drive() { hold /wait/5 14; sleep 0.6; MAX=2 get / 5; }
