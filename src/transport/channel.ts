export interface Channel {
  read(into: Uint8Array): Promise<number>;
  write(bytes: Uint8Array): Promise<void>;
}
