# about: limits that only count (dry run), and requests that are merely delayed: everybody is answered
# expect: healthy
# status: 200
# log: dry run
LEVEL=warn
setup() {
  node radio 127.0.0.1:8551
  listening 127.0.0.1:8551
  vhost radio <<'CONF'
limit_req_zone $binary_remote_addr zone=counted:1m rate=2r/s;
limit_req_zone $binary_remote_addr zone=delayed:1m rate=40r/s;
limit_conn_zone $binary_remote_addr zone=conns:1m;
server {
    listen 80;
    server_name radio.example.org;
    location / { limit_req zone=counted; limit_req_dry_run on; limit_conn conns 1; limit_conn_dry_run on; proxy_pass http://127.0.0.1:8551; }
    location /live { limit_req zone=delayed burst=20; proxy_pass http://127.0.0.1:8551; }
}
CONF
  start_nginx
}
drive() { get / 12; together / 6; get /live 12; all_answered; }
