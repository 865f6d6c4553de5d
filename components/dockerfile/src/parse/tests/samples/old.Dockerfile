#
# An image as they were written in 2014
#
from ubuntu:14.04
maintainer Some One <some@one.example>

Env PATH /usr/local/bin:$PATH:/opt/my dir/bin
ENV DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	NAME="with \"quotes\" and \
	continuation"

RUN apt-get update \
 # tools
 && apt-get install -y build-essential \
                       curl	\   

                       git \
&&	rm -rf /var/lib/apt/lists/*
RUN awk '{ print "<<EOF" $1 }' /etc/passwd | sed -e "s/\\$/x/" > /tmp/o # trailing
ADD	http://example.org/a.tar.gz    ./local.tar.gz	/opt/
VOLUME ["/data", "/var/log/my app"]
WORKDIR /opt
ONBUILD ADD . /app/src
ONBUILD RUN /usr/local/bin/python-build --dir /app/src
LABEL a.b/c=d description="two \
words" empty=
EXPOSE 80 443
CMD [ "$1" = x ] && exec y
