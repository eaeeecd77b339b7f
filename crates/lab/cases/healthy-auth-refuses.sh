# about: visitors who may not enter get 401 and 403 from the auth service, as they should
# expect: healthy
# status: 401
setup() {
  serve door 127.0.0.1:8505
  node club 127.0.0.1:8506
  listening 127.0.0.1:8505
  listening 127.0.0.1:8506
  vhost club <<'CONF'
server {
    listen 80;
    server_name club.example.org;
    location / { auth_request /anybody; proxy_pass http://127.0.0.1:8506; }
    location /board/ { auth_request /board; proxy_pass http://127.0.0.1:8506; }
    location /news/ { auth_request /member; proxy_pass http://127.0.0.1:8506; }
    location = /anybody { internal; proxy_pass http://127.0.0.1:8505/status/401; }
    location = /board { internal; proxy_pass http://127.0.0.1:8505/status/403; }
    location = /member { internal; proxy_pass http://127.0.0.1:8505/status/204; }
}
CONF
  start_nginx
}
drive() { get / 8; get /board/ 8; get /news/ 8; }
