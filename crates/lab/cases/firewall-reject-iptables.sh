# about: an iptables rule answers the connections to the application with a TCP reset
# expect: firewall-reject
# forbid: backend-not-running, upstream-address-mismatch
# peer: 127.0.0.1:8300
# status: 502
# log: 111: Connection refused.*127.0.0.1:8300
setup() {
  serve museum 127.0.0.1:8300
  listening 127.0.0.1:8300
  proxy_to museum http://127.0.0.1:8300
  start_nginx
  get / 4
}
fault() {
  iptables -A INPUT -p tcp --dport 25 -j DROP
  iptables -A INPUT -i lo -p tcp -m tcp --dport 8300 -j REJECT --reject-with tcp-reset
}
drive() { get / 5; }
