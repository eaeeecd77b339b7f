# about: a user started nginx by hand, with paths relative to a home folder and without a master; the application is gone
# expect: backend-not-running
# peer: 127.0.0.1:8451
# status: 502
BASE=http://127.0.0.1:8080
setup() {
  useradd --create-home tutor
  mkdir -p /home/tutor/site/{conf/sites,logs,temp}
  {
    printf 'master_process off;\nerror_log logs/error.log;\npid temp/nginx.pid;\nevents {}\nhttp {\n'
    for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path temp/%s;\n' "$kind" "$kind"; done
    printf 'access_log logs/access.log;\ninclude sites/*.conf;\n}\n'
  } > /home/tutor/site/conf/site.conf
  echo 'server { listen 8080; location / { proxy_pass http://127.0.0.1:8451; } }' > /home/tutor/site/conf/sites/quiz.conf
  chown -R tutor: /home/tutor
  setpriv --reuid tutor --regid tutor --init-groups bash -c 'cd ~tutor/site; setsid nginx -p . -c conf/site.conf' < /dev/null > /dev/null 2>&1
  serve quiz 127.0.0.1:8451
  listening 127.0.0.1:8451
  get / 3
}
fault() { systemctl stop quiz; }
drive() { get / 6; }
