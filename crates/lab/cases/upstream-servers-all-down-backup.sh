# about: the server and its backup were both marked down for a move, and only one was to be; asked without root
# expect: upstream-servers-all-down
# forbid: backend-not-running, passive-health-ejection
# status: 502
# log: no live upstreams
# user: www-data
LOG=json
setup() {
  node farm 127.0.0.1:8613
  listening 127.0.0.1:8613
  vhost farm <<'CONF'
upstream farm {
    least_conn;
    server 127.0.0.1:8613;
    server 127.0.0.1:8614 backup down;
}
server {
    listen 80;
    server_name farm.example.org;
    location / { proxy_pass http://farm; }
}
CONF
  start_nginx
  get / 4
}
fault() { sed -i 's/8613;/8613 down;/' /etc/nginx/conf.d/farm.conf; reload_nginx; }
drive() { get / 6; }
