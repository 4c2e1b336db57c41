"""Files that are written whole or not at all."""


def write(path, text):
    """Replace a file by one that is complete: killed in between, the old one stays as it was."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(text if isinstance(text, bytes) else text.encode())
    part.replace(path)
