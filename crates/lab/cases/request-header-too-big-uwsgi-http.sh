# about: cookies of 6 kB exceed uWSGI's buffer-size; over HTTP it resets the connection and says nothing
# expect: request-header-too-big
# forbid: backend-crashed, keepalive-race, protocol-mismatch, backend-aborts-request
# peer: 127.0.0.1:8570
# status: 502
# log: 104: Connection reset by peer\) while reading response header
setup() {
  daemon intranet '/usr/bin/uwsgi --plugin python3 --master --die-on-term --http-socket 127.0.0.1:8570 --wsgi-file /lab/backends/wsgi.py' User=www-data KillSignal=SIGTERM
  listening 127.0.0.1:8570
  proxy_to intranet http://127.0.0.1:8570
  start_nginx
  get / 5
}
drive() { get / 4 -H "Cookie: sso=$(head -c 6000 /dev/zero | tr '\0' c)"; get / 3; }
