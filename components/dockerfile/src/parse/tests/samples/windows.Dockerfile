# escape=`

FROM mcr.microsoft.com/windows/servercore:ltsc2022
SHELL ["powershell", "-NoProfile", "-Command"]
RUN Invoke-WebRequest -Uri $env:URL -OutFile c:\tools\x.zip ; `
    Expand-Archive c:\tools\x.zip -DestinationPath c:\
COPY app\ c:\app\
WORKDIR c:\app
CMD ["c:\\app\\x.exe"]
