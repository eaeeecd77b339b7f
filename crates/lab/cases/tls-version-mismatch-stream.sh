# about: the stream proxy re-encrypts with TLS 1.2, its default, and the backend was hardened to TLS 1.3 alone
# expect: tls-version-mismatch
# forbid: tls-plaintext-mismatch, tls-sni-required, tls-client-cert-required
# peer: 127.0.0.1:8671
# status: 000
# log: SSL_do_handshake\(\) failed .*(protocol version|unsupported protocol)
BASE=http://127.0.0.1:8093
setup() {
  certificate bank.internal
  daemon bank '/usr/bin/openssl s_server -accept 127.0.0.1:8671 -cert /srv/tls/bank.internal.crt -key /srv/tls/bank.internal.key -tls1_3 -www'
  listening 127.0.0.1:8671
  MAIN='include modules-enabled/*.conf; stream { server { listen 8093; proxy_ssl on; proxy_pass 127.0.0.1:8671; } }' nginx_conf
  touch /lab/nginx.conf
  start_nginx
}
drive() { get / 4; }
