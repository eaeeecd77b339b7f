# about: its first start found the port taken, the second got through; now a request kills it
# expect: backend-crashed
# forbid: backend-port-conflict, backend-start-failed
# peer: 127.0.0.1:8320
# status: 502
setup() {
  daemon squatter '/usr/bin/python3 /lab/backends/serve.py 127.0.0.1:8320'
  listening 127.0.0.1:8320
  node kiosk 127.0.0.1:8320 || true
  logged 'EADDRINUSE'
  systemctl disable -q --now squatter
  systemctl reset-failed kiosk
  systemctl start kiosk
  listening 127.0.0.1:8320
  proxy_to kiosk http://127.0.0.1:8320
  start_nginx
  get / 4
}
drive() { get /throw 1; get / 6; }
