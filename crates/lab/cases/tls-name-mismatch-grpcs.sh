# about: grpcs:// verifies the service's certificate, which holds the service's old name only
# expect: tls-name-mismatch
# forbid: tls-verify-failed, tls-sni-required, protocol-mismatch
# peer: 127.0.0.1:8641
# status: 502
# log: upstream SSL certificate does not match "orders.internal"
setup() {
  certificate orders-v1.internal
  other_nginx orders <<'CONF'
ssl_certificate /srv/tls/orders-v1.internal.crt;
ssl_certificate_key /srv/tls/orders-v1.internal.key;
server { listen 127.0.0.1:8641 ssl http2; location / { return 200; } }
CONF
  listening 127.0.0.1:8641
  echo '127.0.0.1 orders.internal' >> /etc/hosts
  vhost orders <<'CONF'
server {
    listen 80 default_server;
    location / {
        grpc_pass grpcs://orders.internal:8641;
        grpc_ssl_verify on;
        grpc_ssl_trusted_certificate /srv/tls/orders-v1.internal.crt;
        grpc_ssl_server_name on;
    }
}
CONF
  start_nginx
}
drive() { get / 4; }
