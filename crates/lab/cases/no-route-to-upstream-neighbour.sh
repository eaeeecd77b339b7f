# about: the backend's machine is off: nobody answers ARP for its address
# expect: no-route-to-upstream
# forbid: firewall-reject, firewall-drop, upstream-blackholed
# peer: 10.60.0.2:8322
# status: 502
# log: 113: No route to host\) while connecting to upstream
setup() {
  neighbour
  serve theatre 10.60.0.2:8322 '' "$NEXT_DOOR"
  listening 10.60.0.2:8322
  proxy_to theatre http://10.60.0.2:8322
  start_nginx
  get / 3
}
fault() { there ip addr flush dev wire1; ip neigh flush dev wire0; }
drive() { together / 3; }
