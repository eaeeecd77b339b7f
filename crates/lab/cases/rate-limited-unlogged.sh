# about: limit_req refuses with 503, at a level that the error log does not keep; the combined log does not say who it was
# expect: rate-limited
# forbid: upstream-returned-error
# status: 503
setup() {
  uwsgi tickets '--socket 127.0.0.1:8550'
  listening 127.0.0.1:8550
  vhost tickets <<'CONF'
limit_req_zone $binary_remote_addr zone=buyers:1m rate=2r/s;
server {
    listen 80;
    server_name tickets.example.org;
    limit_req_log_level info;
    location / { limit_req zone=buyers burst=2 nodelay; include uwsgi_params; uwsgi_pass 127.0.0.1:8550; }
}
CONF
  start_nginx
}
drive() { get / 12; }
