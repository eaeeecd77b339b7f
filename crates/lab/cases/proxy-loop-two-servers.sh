# about: two servers of the same nginx pass each request to one another, until the connections are used up
# expect: proxy-loop
# forbid: nginx-worker-connections-exhausted, backend-slow
# status: 500, 502
# log: worker_connections are not enough
WORKERS=1
setup() {
  proxy_to front http://127.0.0.1:8081
  printf 'server {\n  listen 127.0.0.1:8081;\n  location / { proxy_pass http://127.0.0.1:80; }\n}\n' | vhost back
  start_nginx
}
drive() { get / 3; }
