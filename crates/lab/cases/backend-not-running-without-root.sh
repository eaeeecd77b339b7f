# about: the program runs as the worker's user, who may read nginx's logs but not other users' processes
# expect: backend-not-running
# peer: 127.0.0.1:8191
# status: 502
# log: 111: Connection refused.*127.0.0.1:8191
# user: www-data
setup() {
  gunicorn orchard 127.0.0.1:8191 '--workers 2'
  listening 127.0.0.1:8191
  proxy_to orchard http://127.0.0.1:8191
  start_nginx
  get / 3
}
fault() { systemctl stop orchard; }
drive() { get / 5; }
