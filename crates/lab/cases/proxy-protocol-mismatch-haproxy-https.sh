# about: haproxy's TLS port expects the PROXY header of a load balancer that was replaced by nginx
# expect: proxy-protocol-mismatch
# forbid: tls-plaintext-mismatch, backend-aborts-request, tls-version-mismatch, backend-crashed
# peer: 127.0.0.1:8611
# status: 502
# log: (peer closed connection in SSL handshake|104: Connection reset by peer\)) while SSL handshaking to upstream
setup() {
  certificate tickets.example.org
  serve tickets 127.0.0.1:8612
  cat > /etc/haproxy/haproxy.cfg <<'CONF'
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend tickets
  bind 127.0.0.1:8611 ssl crt /srv/tls/tickets.example.org.pem accept-proxy
  default_backend tickets
backend tickets
  server one 127.0.0.1:8612
CONF
  daemon balancer '/usr/sbin/haproxy -db -f /etc/haproxy/haproxy.cfg'
  listening 127.0.0.1:8611
  proxy_to tickets https://127.0.0.1:8611
  start_nginx
}
drive() { get / 4; }
