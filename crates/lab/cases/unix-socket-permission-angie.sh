# about: Angie with its own title, paths and user; the application's socket is closed to that user
# expect: unix-socket-permission
# peer: unix:/run/ledger/ledger.sock
# status: 502
# log: 13: Permission denied\) while connecting to upstream
setup() {
  # The same program under Angie's name, with the title that Angie gives its master.
  sed 's#nginx: \x00setproc#angie: \x00setproc#' /usr/sbin/nginx > /usr/sbin/angie
  chmod 755 /usr/sbin/angie
  useradd --system angie
  mkdir -p /etc/angie/http.d /var/log/angie /var/cache/angie
  {
    printf 'user angie;\nworker_processes 1;\nerror_log /var/log/angie/error.log notice;\npid /run/angie.pid;\nevents {}\nhttp {\n'
    for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path /var/cache/angie/%s;\n' "$kind" "$kind"; done
    printf 'access_log /var/log/angie/access.log;\ninclude /etc/angie/http.d/*.conf;\n}\n'
  } > /etc/angie/angie.conf
  echo 'server { listen 80; location / { proxy_pass http://unix:/run/ledger/ledger.sock; } }' > /etc/angie/http.d/ledger.conf
  gunicorn ledger unix:/run/ledger/ledger.sock '--umask 007' RuntimeDirectory=ledger
  listening /run/ledger/ledger.sock
  printf '[Service]\nExecStart=@/usr/sbin/angie "v1.10.3 #1 [/usr/sbin/angie" -c /etc/angie/angie.conf -g "daemon off; #]"\n' > /etc/systemd/system/angie.service
  systemctl daemon-reload
  systemctl start angie
  listening 127.0.0.1:80
}
drive() { get / 6; }
