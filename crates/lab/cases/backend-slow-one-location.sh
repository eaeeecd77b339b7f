# about: the exports of one site need three seconds, its location allows one; everything else is quick
# expect: backend-slow
# forbid: backend-hung, worker-pool-exhausted
# peer: 127.0.0.1:8144
# status: 504
# log: 110: Connection timed out\) while reading response header.*GET /wait/3
LOG=timing
setup() {
  gunicorn invoices 127.0.0.1:8144 '--workers 2 --threads 8 --worker-class gthread'
  listening 127.0.0.1:8144
  vhost invoices <<'CONF'
server {
    listen 80;
    server_name invoices.example.org;
    proxy_http_version 1.1;
    location / { proxy_pass http://127.0.0.1:8144; }
    location /wait/ {
        proxy_read_timeout 1s;
        proxy_pass http://127.0.0.1:8144;
    }
}
CONF
  start_nginx
  get / 10
}
drive() { together /wait/3 4; get /wait/0.2 3; get / 5; sleep 2; }
