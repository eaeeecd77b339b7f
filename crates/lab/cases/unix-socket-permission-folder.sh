# about: the socket is open to everybody, but it lies in a folder that only the application's user may enter
# expect: unix-socket-permission
# forbid: unix-socket-wrong-path, backend-not-running
# peer: unix:/srv/files/private/app.sock
# status: 502
# log: 13: Permission denied\) while connecting to upstream
setup() {
  install -d -o nobody -m 0700 /srv/files/private
  daemon files '/usr/bin/gunicorn --pythonpath /lab/backends --umask 0 -b unix:/srv/files/private/app.sock wsgi:application' User=nobody
  listening /srv/files/private/app.sock
  proxy_to files http://unix:/srv/files/private/app.sock
  start_nginx
}
drive() { get / 5; }
