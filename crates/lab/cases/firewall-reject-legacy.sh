# about: an old script fills the legacy iptables table, which nft does not show; nginx is refused by an ICMP answer
# expect: firewall-reject
# forbid: backend-not-running, upstream-address-mismatch
# peer: 10.60.0.2:8304
# status: 502
# log: 111: Connection refused.*10.60.0.2:8304
LOG=timing
setup() {
  neighbour
  serve choir 10.60.0.2:8304 '' "$NEXT_DOOR"
  listening 10.60.0.2:8304
  proxy_to choir http://10.60.0.2:8304
  start_nginx
  get / 3
}
fault() { iptables-legacy -A OUTPUT -d 10.60.0.0/24 -p tcp --dport 8304 -j REJECT; }
drive() { get / 5; }
