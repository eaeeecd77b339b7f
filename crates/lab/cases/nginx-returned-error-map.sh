# about: a map decides that a country's visitors get 503 from the configuration itself
# expect: nginx-returned-error
# forbid: upstream-returned-error, rate-limited, backend-not-running
# status: 503
setup() {
  node stamps 127.0.0.1:3080
  listening 127.0.0.1:3080
  vhost stamps <<'CONF'
map $http_x_country $closed {
    default 0;
    atlantis 1;
}
server {
    listen 80;
    server_name stamps.example.org;
    location / {
        if ($closed) {
            return 503;
        }
        proxy_pass http://127.0.0.1:3080;
    }
}
CONF
  start_nginx
  get / 5
}
drive() { get /rare 6 -H 'X-Country: atlantis'; get / 3; }
