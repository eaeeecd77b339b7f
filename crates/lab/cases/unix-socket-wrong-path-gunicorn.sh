# about: the application's runtime folder was renamed, the site still dials the old socket
# expect: unix-socket-wrong-path
# forbid: backend-not-running, unix-socket-permission
# peer: unix:/run/books/gunicorn.sock
# status: 502
# log: 2: No such file or directory\) while connecting to upstream
# fix: yes
setup() {
  gunicorn library unix:/run/library/gunicorn.sock '--workers 2' RuntimeDirectory=library
  listening /run/library/gunicorn.sock
  proxy_to library http://unix:/run/books/gunicorn.sock
  start_nginx
}
drive() { get / 5; }
check() { served /; }
