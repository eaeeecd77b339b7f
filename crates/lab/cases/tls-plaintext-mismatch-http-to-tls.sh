# about: the application got a certificate of its own, nginx still sends it plain HTTP
# expect: tls-plaintext-mismatch
# forbid: backend-aborts-request, backend-crashed, protocol-mismatch
# peer: 127.0.0.1:8243
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while reading response header
setup() {
  certificate payroll.example.org
  serve payroll 127.0.0.1:8243 '--tls /srv/tls/payroll.example.org.pem'
  listening 127.0.0.1:8243
  proxy_to payroll http://127.0.0.1:8243
  start_nginx
}
drive() { get / 5; }
