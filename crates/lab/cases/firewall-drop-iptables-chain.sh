# about: a chain of its own, reached by a jump, drops a range of ports towards the neighbouring machine
# expect: firewall-drop
# forbid: upstream-blackholed, no-route-to-upstream, backend-hung
# peer: 10.60.0.2:8311
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  neighbour
  serve auction 10.60.0.2:8311 '' "$NEXT_DOOR"
  listening 10.60.0.2:8311
  proxy_to auction http://10.60.0.2:8311 'proxy_connect_timeout 1s;'
  start_nginx
  get / 4
}
fault() {
  iptables -N egress
  iptables -A OUTPUT -o wire0 -j egress
  iptables -A egress -p tcp --dport 443 -j RETURN
  iptables -A egress -p tcp -m multiport --dports 8000:8400 -j DROP
}
drive() { together / 3; get / 1; }
