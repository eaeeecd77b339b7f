# about: a mirror's target is down, and a page whose backend is down is answered by another one: no client notices
# expect: healthy
# status: 200
setup() {
  serve main 127.0.0.1:8454
  serve archive 127.0.0.1:8455
  listening 127.0.0.1:8454
  listening 127.0.0.1:8455
  vhost main <<'CONF'
server {
    listen 80;
    server_name main.example.org;
    location / { mirror /copy; proxy_pass http://127.0.0.1:8454; }
    location = /copy { internal; proxy_pass http://127.0.0.1:8456$request_uri; }
    location /old/ { proxy_pass http://127.0.0.1:8457; error_page 502 504 = @archive; }
    location @archive { proxy_pass http://127.0.0.1:8455; }
}
CONF
  start_nginx
}
drive() { get / 8; get /old/1 6; all_answered; }
