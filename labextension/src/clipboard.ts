/** Put a text on the clipboard; resolves to whether it is there now. */
export async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page that came over plain HTTP from another machine has no such clipboard.
    return byCommand(text);
  }
}

function byCommand(text: string): boolean {
  let isThere = false;
  const put = (event: ClipboardEvent): void => {
    event.clipboardData?.setData('text/plain', text);
    event.preventDefault();
    event.stopImmediatePropagation();
    isThere = event.clipboardData !== null;
  };
  document.addEventListener('copy', put, true);
  try {
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    return document.execCommand('copy') && isThere;
  } finally {
    document.removeEventListener('copy', put, true);
  }
}
