# about: the application in a container is bound to the container's own 127.0.0.1; nginx on the host dials the container
# expect: upstream-address-mismatch
# forbid: backend-not-running
# peer: 172.30.0.6:8442
# status: 502
# log: 111: Connection refused.*172.30.0.6:8442
setup() {
  proxy_to permits http://172.30.0.6:8442
  start_nginx
  container permits 172.30.0.6 'exec gunicorn --pythonpath /lab/backends -b 127.0.0.1:8442 wsgi:application'
  for _ in $(seq 60); do (ip netns exec permits bash -c 'exec 3<> /dev/tcp/127.0.0.1/8442') 2> /dev/null && break; sleep 0.05; done
}
drive() { get / 6; }
