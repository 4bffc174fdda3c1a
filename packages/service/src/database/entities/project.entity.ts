import { EntitySchema } from 'typeorm';
import { createdAt, id, integer, text } from '../columns';

/** The tenant; owns everything else. */
export interface Project {
  id: string;
  name: string;
  /** Stage runs of this project that may be in the queue or running at once; null: no limit. */
  maxConcurrentRuns: number | null;
  /** Finished jobs are deleted after this many days; null: kept. */
  retentionDays: number | null;
  createdAt: Date;
}

export const ProjectEntity = new EntitySchema<Project>({
  name: 'project',
  columns: {
    id: id(),
    name: text({ unique: true }),
    maxConcurrentRuns: integer({ nullable: true }),
    retentionDays: integer({ nullable: true }),
    createdAt: createdAt(),
  },
});
