import { foldedLines } from '../../formats/folded.js';
import { OutputFile } from '../../formats/output_file.js';
import { PerfDataReader } from '../../formats/perfdata_reader.js';
import { writeFully } from '../../formats/write_fully.js';
import type { FoldedStack } from '../../formats/folded.js';
import type { Profile } from './profile.js';
import { readProfile } from './profile.js';

const CHUNK_CHARACTERS = 1 << 16;

/**
 * Converts a recording to folded stacks: the thread name, then the frames from the outermost; with several events, the
 * event's name first.
 * @param data path of the recording, or an fd, which is closed
 * @param output path of the file to create, or an fd open for writing, which is closed
 * @throws FormatError, OutputFileError, or the system's error
 */
export function writeFolded(data: string | number, output: string | number): void {
  using reader = new PerfDataReader(data);
  const profile = readProfile(reader);
  const names = reader.events.map((event) => event.name);
  using file = typeof output === 'number' ? OutputFile.adopt(output) : OutputFile.create(output);
  let chunk = '';
  for (const line of foldedLines(foldedStacks(profile, names))) {
    chunk += line;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    writeFully(file.fd, Buffer.from(chunk));
    chunk = '';
  }
  writeFully(file.fd, Buffer.from(chunk));
  file.place();
}

function* foldedStacks(profile: Profile, names: readonly string[]): Generator<FoldedStack, void, undefined> {
  for (const { event, comm, frames, samples } of profile.stacks) {
    const root = names.length > 1 ? [names[event] ?? `event ${event}`, comm] : [comm];
    yield { frames: [...root, ...frames.map((frame) => frame.name)], count: samples };
  }
}
