# about: the wiki was stopped and disabled for an upgrade, and nobody started it again
# expect: backend-not-running
# forbid: backend-crashed, wrong-upstream-port
# peer: 127.0.0.1:8123
# status: 502
# log: 111: Connection refused\) while connecting to upstream
# fix: yes
LOG=json
setup() {
  gunicorn wiki 127.0.0.1:8123 '--workers 2'
  serve metrics 127.0.0.1:9180
  listening 127.0.0.1:8123
  proxy_to wiki http://127.0.0.1:8123
  static_site press
  start_nginx
  get / 4
}
fault() { systemctl disable -q --now wiki; }
drive() { get / 5; get / 2 -H 'Host: press.example.org'; }
check() { served /; }
