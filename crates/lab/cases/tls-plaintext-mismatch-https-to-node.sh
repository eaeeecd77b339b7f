# about: proxy_pass says https, Node.js speaks plain HTTP on that port
# expect: tls-plaintext-mismatch
# forbid: tls-version-mismatch, protocol-mismatch
# peer: 127.0.0.1:3443
# status: 502
# log: SSL_do_handshake\(\) failed
# fix: yes
setup() {
  node accounts 127.0.0.1:3443
  listening 127.0.0.1:3443
  proxy_to accounts https://127.0.0.1:3443
  start_nginx
}
drive() { get / 5; }
check() { served /; }
