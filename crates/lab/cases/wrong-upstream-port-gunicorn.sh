# about: the site was written for port 8010, the application serves on 8001
# expect: wrong-upstream-port
# forbid: backend-not-running, upstream-address-mismatch
# peer: 127.0.0.1:8010
# status: 502
# log: 111: Connection refused.*127.0.0.1:8010
# fix: yes
setup() {
  gunicorn recipes 127.0.0.1:8001 '--workers 2'
  listening 127.0.0.1:8001
  proxy_to recipes http://127.0.0.1:8010
  static_site press
  start_nginx
  get / 2 -H 'Host: press.example.org'
}
drive() { get / 5; }
check() { served /; }
