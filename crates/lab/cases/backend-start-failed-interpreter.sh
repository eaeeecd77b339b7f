# about: the virtual environment was deleted with the old release: systemd finds no program to execute
# expect: backend-start-failed
# forbid: backend-not-running, unix-socket-wrong-path
# peer: unix:/run/notes/notes.sock
# status: 502
# log: status=203/EXEC
LOG=json
setup() {
  mkdir -p /srv/notes/venv/bin
  ln -s /usr/bin/gunicorn /srv/notes/venv/bin/gunicorn
  daemon notes '/srv/notes/venv/bin/gunicorn --pythonpath /lab/backends -b unix:/run/notes/notes.sock wsgi:application' User=www-data RuntimeDirectory=notes
  listening /run/notes/notes.sock
  proxy_to notes http://unix:/run/notes/notes.sock
  start_nginx
  get / 3
}
fault() { rm -r /srv/notes/venv; systemctl restart notes || true; }
drive() { get / 5; }
