/** Where Debian's is: the tests need no other package of it. */
export const PYTHON = '/usr/bin/python3';

/**
 * The beginning of a program in Python, to be run by {@link PYTHON}: `lingering()` gives two ends of a TCP connection, the first
 * with unsent data and a long linger, so that its last close(2) waits for whoever does not read at the other.
 */
export const LINGERING = `
import socket, struct, sys, time
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(9)
def lingering():
    sender = socket.create_connection(listener.getsockname()); receiver, _ = listener.accept()
    sender.setblocking(False)
    try:
        while True: sender.send(bytes(65536))
    except BlockingIOError: pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))
    return sender, receiver
`;
