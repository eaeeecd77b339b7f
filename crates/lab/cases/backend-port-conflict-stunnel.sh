# about: a new stunnel took the port of the booking application, whose uWSGI cannot bind any more
# expect: backend-port-conflict
# forbid: backend-crashed, backend-not-running, backend-aborts-request
# peer: 127.0.0.1:7070
# status: 502
# log: bind\(\): Address already in use
setup() {
  uwsgi booking '--http-socket 127.0.0.1:7070' '--processes 2'
  listening 127.0.0.1:7070
  proxy_to booking http://127.0.0.1:7070
  start_nginx
  get / 3
  certificate ldap.example.org
  printf 'foreground = yes\npid =\n[ldap]\naccept = 127.0.0.1:7070\nconnect = 127.0.0.1:389\ncert = /srv/tls/ldap.example.org.pem\n' > /etc/stunnel/ldap.conf
}
fault() {
  systemctl stop booking
  daemon directory-tunnel '/usr/bin/stunnel4 /etc/stunnel/ldap.conf'
  listening 127.0.0.1:7070
  systemctl start booking || true
}
drive() { get / 5; }
