# about: the application on the next machine was ended by hand; nothing of that machine can be seen from here
# expect: backend-not-running
# forbid: backend-not-running, wrong-upstream-port, firewall-reject, no-route-to-upstream
# peer: 10.60.0.2:8711
# status: 502
# log: 111: Connection refused\) while connecting to upstream
setup() {
  neighbour
  there setsid /usr/bin/python3 /lab/backends/serve.py 10.60.0.2:8711 < /dev/null > /dev/null 2>&1 &
  listening 10.60.0.2:8711
  proxy_to mine http://10.60.0.2:8711
  start_nginx
  get / 3
}
fault() { kill "$(pgrep -f 'serve.py 10.60.0.2:8711')"; }
drive() { get / 4; }
