# about: the upstream's name was moved to the address of this very host
# expect: proxy-loop
# forbid: nginx-worker-connections-exhausted, backend-slow
# peer: 10.60.0.1:80
# status: 500, 502
# log: worker_connections are not enough
WORKERS=1
setup() {
  neighbour
  echo '10.60.0.1 origin.example.org' >> /etc/hosts
  vhost cdn <<'CONF'
server {
    listen 80;
    server_name cdn.example.org origin.example.org;
    location / { proxy_pass http://origin.example.org; }
}
CONF
  start_nginx
}
drive() { get / 3; }
