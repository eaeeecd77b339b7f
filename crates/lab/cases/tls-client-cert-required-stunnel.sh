# about: stunnel before a node API takes clients with a certificate of the house CA only; nginx shows none
# expect: tls-client-cert-required
# forbid: tls-version-mismatch, tls-sni-required, backend-crashed, backend-aborts-request
# peer: 127.0.0.1:8631
# status: 502
# log: (alert|prematurely closed|104: Connection reset by peer|peer closed)
setup() {
  certificate house-ca
  certificate payments.internal
  node payments 127.0.0.1:8632
  cat > /etc/stunnel/payments.conf <<'CONF'
foreground = yes
syslog = no
[payments]
accept = 127.0.0.1:8631
connect = 127.0.0.1:8632
cert = /srv/tls/payments.internal.pem
CAfile = /srv/tls/house-ca.crt
verifyChain = yes
CONF
  daemon tunnel '/usr/bin/stunnel4 /etc/stunnel/payments.conf'
  listening 127.0.0.1:8631
  proxy_to payments https://127.0.0.1:8631
  start_nginx
}
drive() { get / 4; }
