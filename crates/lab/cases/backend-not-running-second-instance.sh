# about: two nginx run here; the distribution's is well, the one under /srv/edge has lost its backend
# expect: backend-not-running
# peer: 127.0.0.1:8182
# status: 502
# log: 111: Connection refused.*127.0.0.1:8182
setup() {
  serve prices 127.0.0.1:8181
  serve rates 127.0.0.1:8182
  listening 127.0.0.1:8181
  listening 127.0.0.1:8182
  proxy_to prices http://127.0.0.1:8181
  start_nginx
  other_nginx edge <<'CONF'
server {
    listen 8080;
    server_name rates.example.org;
    location / { proxy_pass http://127.0.0.1:8182; }
}
CONF
  listening 127.0.0.1:8080
  get / 5
  BASE=http://127.0.0.1:8080 get / 3
}
fault() { systemctl stop rates; }
drive() { get / 5; BASE=http://127.0.0.1:8080 get / 5; }
