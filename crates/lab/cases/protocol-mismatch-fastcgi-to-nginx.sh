# about: fastcgi_pass points to another nginx, which speaks HTTP
# expect: protocol-mismatch
# forbid: invalid-response, backend-aborts-request
# peer: 127.0.0.1:8240
# status: 502
# log: unsupported FastCGI protocol version: 72
setup() {
  other_nginx docs <<'CONF'
server {
    listen 127.0.0.1:8240;
    location / { return 200 "docs\n"; }
}
CONF
  listening 127.0.0.1:8240
  vhost quiz <<'CONF'
server {
    listen 80;
    server_name quiz.example.org;
    location / {
        include fastcgi_params;
        fastcgi_pass 127.0.0.1:8240;
    }
}
CONF
  start_nginx
}
drive() { get / 5; }
