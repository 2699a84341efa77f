# Runs a program at a terminal of its own: `typed.py WORD TEXT PROGRAM ARGUMENT...` types TEXT once WORD is seen, prints what
# the terminal showed, and ends with the program's exit status. In TEXT \n is Enter and \x03 is Ctrl-C.
import os
import pty
import sys

word, text, *line = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execv(line[0], line)
shown = b""
typed = False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # Linux' end of a terminal that nobody has open any more
        break
    if not piece:
        break
    shown += piece
    if not typed and word.encode() in shown:
        os.write(terminal, text.encode().decode("unicode_escape").encode())
        typed = True
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
