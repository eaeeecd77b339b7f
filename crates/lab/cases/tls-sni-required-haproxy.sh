# about: haproxy has strict-sni and nginx sends no server name
# expect: tls-sni-required
# forbid: tls-version-mismatch, tls-client-cert-required, tls-name-mismatch
# peer: 127.0.0.1:8651
# status: 502
# log: SSL_do_handshake\(\) failed .*while SSL handshaking to upstream
setup() {
  certificate museum.example.org
  serve museum 127.0.0.1:8652
  cat > /etc/haproxy/haproxy.cfg <<'CONF'
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend museum
  bind 127.0.0.1:8651 ssl crt /srv/tls/museum.example.org.pem strict-sni
  default_backend museum
backend museum
  server one 127.0.0.1:8652
CONF
  daemon balancer '/usr/sbin/haproxy -db -f /etc/haproxy/haproxy.cfg'
  listening 127.0.0.1:8651
  proxy_to museum https://127.0.0.1:8651
  start_nginx
}
drive() { get / 4; }
