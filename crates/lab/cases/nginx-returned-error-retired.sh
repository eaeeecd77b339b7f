# about: a retired part of the API is answered by `return 502` from the configuration itself
# expect: nginx-returned-error
# forbid: upstream-returned-error, backend-not-running
# status: 502
LOG=timing
setup() {
  node api 127.0.0.1:3091
  listening 127.0.0.1:3091
  vhost api <<'CONF'
server {
    listen 80;
    server_name api.example.org;
    location /v1/ { return 502 "gone to v2\n"; }
    location / { proxy_pass http://127.0.0.1:3091; }
}
CONF
  start_nginx
}
drive() { get /v1/items 6; get /v2/items 5; }
