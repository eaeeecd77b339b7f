# about: the release of the menu imports a module that is not there: gunicorn's boot fails again and again
# expect: backend-start-failed
# forbid: backend-not-running, wrong-upstream-port, backend-port-conflict
# peer: 127.0.0.1:8131
# status: 502
# log: ModuleNotFoundError: No module named 'allergens'
setup() {
  mkdir -p /srv/menu
  cp /lab/backends/wsgi.py /srv/menu/menu.py
  daemon menu '/usr/bin/gunicorn --chdir /srv/menu --bind 127.0.0.1:8131 menu:application' User=www-data Restart=always RestartSec=300ms
  listening 127.0.0.1:8131
  proxy_to menu http://127.0.0.1:8131
  start_nginx
  get / 3
}
fault() { sed -i '1i import allergens' /srv/menu/menu.py; systemctl restart menu; sleep 1; }
drive() { get / 6; }
