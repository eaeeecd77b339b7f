# about: the address that auth_request asks was moved behind a login page; nginx gets a redirect and answers 500
# expect: auth-subrequest-failed
# forbid: upstream-returned-error
# status: 500
# log: auth request unexpected status: 302
LOG=timing
setup() {
  gunicorn door 127.0.0.1:8503
  serve wiki 127.0.0.1:8504
  listening 127.0.0.1:8503
  listening 127.0.0.1:8504
  vhost wiki <<'CONF'
upstream door { server 127.0.0.1:8503; }
server {
    listen 80;
    server_name wiki.example.org;
    location / { auth_request /door; proxy_pass http://127.0.0.1:8504; }
    location = /door { internal; proxy_pass http://door/status/204; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
    location /public/ { proxy_pass http://127.0.0.1:8504; }
}
CONF
  start_nginx
  get / 4
}
fault() { sed -i 's#status/204#status/302#' /etc/nginx/conf.d/wiki.conf; reload_nginx; }
drive() { get /pages/home 4; get /public/terms 4; }
