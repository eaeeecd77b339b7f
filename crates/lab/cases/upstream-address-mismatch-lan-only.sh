# about: the application is bound to the LAN address, nginx dials loopback
# expect: upstream-address-mismatch
# forbid: backend-not-running, wrong-upstream-port
# peer: 127.0.0.1:8200
# status: 502
# log: 111: Connection refused.*127.0.0.1:8200
# fix: yes
setup() {
  neighbour
  serve stock 10.60.0.1:8200
  listening 10.60.0.1:8200
  proxy_to stock http://127.0.0.1:8200
  start_nginx
}
drive() { get / 5; }
check() { served /; }
