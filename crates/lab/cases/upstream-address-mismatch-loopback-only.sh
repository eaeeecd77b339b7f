# about: nginx dials this host by its LAN address, Node.js is bound to loopback; the upstream is a group with a name
# expect: upstream-address-mismatch
# forbid: backend-not-running, wrong-upstream-port, firewall-reject
# peer: 10.60.0.1:8210
# status: 502
# log: 111: Connection refused.*10.60.0.1:8210
setup() {
  neighbour
  node events 127.0.0.1:8210
  listening 127.0.0.1:8210
  echo 'upstream events_api { server 10.60.0.1:8210 max_fails=0; keepalive 4; }' | vhost group
  proxy_to events http://events_api
  start_nginx
}
drive() { get / 6; }
