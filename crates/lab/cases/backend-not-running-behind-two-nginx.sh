# about: nginx in front of a second nginx, in front of the application, which is stopped
# expect: backend-not-running
# peer: 127.0.0.1:8453
# status: 502
setup() {
  serve fares 127.0.0.1:8453
  listening 127.0.0.1:8453
  proxy_to fares http://127.0.0.1:8452
  start_nginx
  other_nginx inner <<'CONF'
server {
    listen 127.0.0.1:8452;
    location / { proxy_pass http://127.0.0.1:8453; }
}
CONF
  listening 127.0.0.1:8452
  get / 3
}
fault() { systemctl stop fares; }
drive() { get / 6; }
